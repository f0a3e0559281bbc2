"""The page's types are made from the server's, and the committed file is what they make now."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from msgspec import inspect

from wormux import limits
from wormux.errors import ErrorCode
from wormux.protocol import messages, schema
from wormux.protocol.close_codes import CloseCode

ROOT = Path(__file__).parents[2]
WIRE = ROOT / "web" / "src" / "protocol" / "wire.ts"


def test_the_committed_file_is_up_to_date() -> None:
    assert WIRE.read_text(encoding="utf-8") == schema.wire_types()


def test_the_text_does_not_depend_on_the_seed_of_hashes(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        command = [sys.executable, "-m", "wormux.protocol.schema", str(tmp_path / seed)]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "src")}
        subprocess.run(command, check=True, env=environment)
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes() == WIRE.read_bytes()


def test_check_says_what_to_do_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "wire.ts"
    assert schema.main(["--check", str(file)]) == 1
    assert not file.exists()
    assert schema.main([str(file)]) == 0
    assert schema.main(["--check", str(file)]) == 0
    file.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert schema.main(["--check", str(file)]) == 1
    assert "run `python -m wormux.protocol.schema" in capsys.readouterr().err


def test_every_message_is_a_member_of_its_union() -> None:
    text = schema.wire_types()
    for union, members in (
        ("ClientMessage", get_args(messages.ClientMessage)),
        ("ServerMessage", get_args(messages.AnyServerMessage)),
    ):
        declared = re.search(rf"export type {union} =([^;]+);", text)
        assert declared is not None
        assert len(declared[1].split("|")) - 1 == len(members)
        for member in members:
            assert f'readonly type: "{member.__struct_config__.tag}";' in text


def test_names_are_those_of_the_wire() -> None:
    text = schema.wire_types()
    assert "readonly paneId: string;" in text
    assert "readonly from: number;" in text
    assert "from_" not in text
    assert not re.search(r"readonly [a-z]+_[a-z]+[?:]", text)


@pytest.mark.parametrize(
    "line",
    [
        "readonly resume?: Readonly<Record<string, number>>;",
        "readonly input: Readonly<Record<string, number | null>> | null;",
        "readonly sessions?: readonly SessionInfo[];",
        "readonly children: readonly Layout[];",
        "readonly status: PaneStatus;",
        "readonly exit?: ExitInfo;",
        "readonly colors?: Colors | null;",
        "readonly request: string | null;",
        "readonly code: ErrorCode;",
    ],
)
def test_a_field_that_may_be_left_out_or_null_says_so(line: str) -> None:
    assert line in schema.wire_types()


def test_the_page_knows_the_bounds_and_codes() -> None:
    text = schema.wire_types()
    assert f"export const FRAME_BYTES = {limits.FRAME_BYTES};" in text
    assert "export const RETRY_FLOOR_S = 0.5;" in text
    for close_code in CloseCode:
        assert f"  {close_code.name}: {close_code.value}," in text
    for error_code in ErrorCode:
        assert f'"{error_code.value}"' in text


def test_words_with_a_name_are_told_apart() -> None:
    sets = [frozenset(get_args(alias)) for alias in schema.ALIASES.values()]
    assert len(set(sets)) == len(sets)


def test_an_unknown_kind_of_field_is_refused() -> None:
    with pytest.raises(TypeError, match="no TypeScript"):
        schema._type(inspect.type_info(bytes))
