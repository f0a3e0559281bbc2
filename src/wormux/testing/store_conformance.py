"""What every store must do, as checks that pytest collects from a subclass.

class TestMyStore(StoreConformance):
    def open_store(self) -> Store:
        return MyStore(self.place)
"""

from __future__ import annotations

import dataclasses

from wormux.errors import StoreError
from wormux.ids import Channel, ClientId, PaneId, SandboxId, SessionId, TabId, UserId
from wormux.records import (
    Change,
    Checkpoint,
    ClientRecord,
    InputPosition,
    Intent,
    Meta,
    PaneRecord,
    Rest,
    SessionRecord,
    Snapshot,
    TabRecord,
)
from wormux.store.port import Store

USER = UserId("ada")
OTHER = UserId("grace")


def session(name: str = "session-1", order: int = 0) -> SessionRecord:
    return SessionRecord(SessionId(name), SandboxId("box-" + name), "main", 1, "local", Intent.AWAKE, order)


def tab(name: str = "tab-1", of: str = "session-1", order: int = 0) -> TabRecord:
    return TabRecord(TabId(name), SessionId(of), "Tab", order, b'{"pane":"pane-1"}', PaneId("pane-1"))


def pane(name: str = "pane-1", of: str = "tab-1", channel: int = 0) -> PaneRecord:
    return PaneRecord(PaneId(name), TabId(of), Channel(channel), 0, 80, 24, 1, 1000)


def client(name: str = "client-1") -> ClientRecord:
    return ClientRecord(ClientId(name), "key", 0)


def input_position(of: str = "client-1", to: str = "pane-1", position: int = 5) -> InputPosition:
    return InputPosition(ClientId(of), PaneId(to), position)


def checkpoint(of: str = "pane-1", log: bytes = b"$ ls\r\n") -> Checkpoint:
    return Checkpoint(PaneId(of), 100, log, ((100, 80, 24), (102, 90, 30)))


WHOLE = Change(
    insert_sessions=(session(),),
    insert_tabs=(tab(),),
    insert_panes=(pane(),),
    put_clients=(client(),),
    put_inputs=(input_position(),),
    put_checkpoints=(checkpoint(),),
    meta=Meta(7, (Channel(3), Channel(1)), TabId("tab-1")),
)
"""One of each."""


def refuses(store: Store, change: Change) -> bool:
    """Whether the store takes nothing of `change`."""
    before = store.load(USER)
    try:
        store.apply(USER, change)
    except StoreError:
        assert store.load(USER) == before, "a refused change left something behind"
        return True
    return False


class StoreConformance:
    """Subclasses say how a fresh store is opened."""

    def open_store(self) -> Store:
        """An empty one, once per check."""
        raise NotImplementedError

    def test_a_new_user_has_nothing(self) -> None:
        assert self.open_store().load(USER) == Snapshot()

    def test_what_was_applied_is_loaded(self) -> None:
        store = self.open_store()
        store.apply(USER, WHOLE)
        assert store.load(USER) == Snapshot(
            (session(),),
            (tab(),),
            (pane(),),
            (client(),),
            (input_position(),),
            (checkpoint(),),
            Meta(7, (Channel(3), Channel(1)), TabId("tab-1")),
        )

    def test_kinds_come_back_as_they_were(self) -> None:
        store = self.open_store()
        rest = dataclasses.replace(
            pane(),
            rest=Rest.EXITED,
            reason="It ended.",
            exit_code=1,
            exit_signal="SIGHUP",
            cwd="/",
            title="vi",
        )
        store.apply(USER, Change(insert_sessions=(session(),), insert_tabs=(tab(),), insert_panes=(rest,)))
        snapshot = store.load(USER)
        assert snapshot.panes == (rest,)
        assert isinstance(snapshot.panes[0].rest, Rest)
        assert isinstance(snapshot.sessions[0].intent, Intent)

    def test_users_do_not_meet(self) -> None:
        store = self.open_store()
        store.apply(USER, WHOLE)
        store.apply(OTHER, WHOLE)
        store.apply(OTHER, Change(delete_sessions=(session().id,), delete_clients=(client().id,)))
        assert store.load(USER).sessions == (session(),)
        assert store.load(USER).clients == (client(),)
        assert store.load(OTHER).panes == ()

    def test_records_are_loaded_in_their_order(self) -> None:
        store = self.open_store()
        sessions = (session("c", 0), session("a", 1), session("b", 2))
        tabs = (tab("t3", "a", 0), tab("t1", "a", 1), tab("t2", "a", 2))
        store.apply(USER, Change(insert_sessions=sessions[::-1], insert_tabs=tabs[::-1]))
        assert store.load(USER).sessions == sessions
        assert store.load(USER).tabs == tabs

    def test_inserting_what_exists_fails(self) -> None:
        store = self.open_store()
        store.apply(USER, WHOLE)
        assert refuses(store, Change(insert_sessions=(session("new"), session())))
        assert refuses(store, Change(insert_tabs=(tab(),)))
        assert refuses(store, Change(insert_panes=(pane(),)))

    def test_inserting_without_a_parent_fails(self) -> None:
        store = self.open_store()
        assert refuses(store, Change(insert_tabs=(tab(),)))
        assert refuses(store, Change(insert_sessions=(session(),), insert_panes=(pane(),)))

    def test_a_late_update_brings_nothing_back(self) -> None:
        store = self.open_store()
        late = Change(
            update_sessions=(session(),),
            update_tabs=(tab(),),
            update_panes=(pane(),),
            put_inputs=(input_position(),),
            put_checkpoints=(checkpoint(),),
        )
        store.apply(USER, late)
        assert store.load(USER) == Snapshot()

    def test_updates_replace(self) -> None:
        store = self.open_store()
        store.apply(USER, WHOLE)
        changed = Change(
            update_sessions=(dataclasses.replace(session(), name="other", intent=Intent.ASLEEP),),
            update_tabs=(dataclasses.replace(tab(), layout=b"[]"),),
            update_panes=(dataclasses.replace(pane(), cols=100, rest=Rest.ASLEEP),),
            put_clients=(dataclasses.replace(client(), left_at_ms=9, active_tab=tab().id),),
            put_inputs=(input_position(position=6),),
            put_checkpoints=(checkpoint(log=b"\x00\xff" * 100_000),),
            meta=Meta(8, (), None),
        )
        store.apply(USER, changed)
        assert store.load(USER) == Snapshot(
            changed.update_sessions,
            changed.update_tabs,
            changed.update_panes,
            changed.put_clients,
            changed.put_inputs,
            changed.put_checkpoints,
            Meta(8, (), None),
        )

    def test_a_client_that_is_put_again_keeps_its_positions(self) -> None:
        store = self.open_store()
        store.apply(USER, WHOLE)
        store.apply(USER, Change(put_clients=(dataclasses.replace(client(), left_at_ms=9),)))
        assert store.load(USER).inputs == (input_position(),)

    def test_a_pane_takes_what_is_its_with_it(self) -> None:
        store = self.open_store()
        store.apply(USER, WHOLE)
        store.apply(USER, Change(delete_panes=(pane().id,)))
        snapshot = store.load(USER)
        assert (snapshot.panes, snapshot.inputs, snapshot.checkpoints) == ((), (), ())
        assert (snapshot.tabs, snapshot.clients) == ((tab(),), (client(),))

    def test_a_session_takes_all_that_is_in_it(self) -> None:
        store = self.open_store()
        store.apply(USER, WHOLE)
        store.apply(USER, Change(delete_sessions=(session().id,)))
        snapshot = store.load(USER)
        assert (snapshot.sessions, snapshot.tabs, snapshot.panes) == ((), (), ())
        assert (snapshot.inputs, snapshot.checkpoints) == ((), ())

    def test_a_client_takes_its_positions_with_it(self) -> None:
        store = self.open_store()
        store.apply(USER, WHOLE)
        store.apply(USER, Change(delete_clients=(client().id,)))
        assert store.load(USER).inputs == ()

    def test_a_pane_can_be_moved_to_a_tab_made_in_the_same_change(self) -> None:
        store = self.open_store()
        store.apply(USER, WHOLE)
        moved = dataclasses.replace(pane(), tab_id=TabId("tab-2"))
        store.apply(USER, Change(insert_tabs=(tab("tab-2"),), update_panes=(moved,), delete_tabs=(tab().id,)))
        assert store.load(USER).panes == (moved,)
        assert store.load(USER).checkpoints == (checkpoint(),)

    def test_deleting_what_is_not_there_does_nothing(self) -> None:
        store = self.open_store()
        store.apply(USER, WHOLE)
        before = store.load(USER)
        gone = Change(
            delete_panes=(PaneId("x"),),
            delete_tabs=(TabId("x"),),
            delete_sessions=(SessionId("x"),),
            delete_clients=(ClientId("x"),),
        )
        store.apply(USER, gone)
        assert store.load(USER) == before

    def test_meta_stays_until_it_is_replaced(self) -> None:
        store = self.open_store()
        store.apply(USER, WHOLE)
        store.apply(USER, Change())
        assert WHOLE.meta == store.load(USER).meta

    def test_secrets_are_kept_and_removed(self) -> None:
        store = self.open_store()
        assert store.get_secret("token") is None
        store.put_secret("token", b"\x00secret")
        store.put_secret("token", b"newer")
        assert store.get_secret("token") == b"newer"
        store.put_secret("token", None)
        store.put_secret("token", None)
        assert store.get_secret("token") is None

    def test_a_closed_store_says_so(self) -> None:
        store = self.open_store()
        store.close()
        store.close()
        for operation in (
            lambda: store.load(USER),
            lambda: store.apply(USER, WHOLE),
            lambda: store.get_secret("token"),
            lambda: store.put_secret("token", b""),
        ):
            try:
                operation()
            except StoreError:
                continue
            raise AssertionError("a closed store did something")
