/** How long a session is kept awake whatever happens in it: a lease (protocol, `session_lease`). */

import { Menu } from "@base-ui/react/menu";
import type { SessionInfo } from "../protocol/wire";
import { SunIcon } from "./icons";
import { usePage } from "./page";

const HOUR_S = 3600;
const CHOICES = [
  { title: "For 1 hour", seconds: HOUR_S },
  { title: "For 8 hours", seconds: 8 * HOUR_S },
  { title: "For 7 days", seconds: 7 * 24 * HOUR_S },
  { title: "No longer", seconds: 0 },
];

export function KeepAwake({ session }: { session: SessionInfo }) {
  const { commands } = usePage();
  return (
    <Menu.Root>
      <Menu.Trigger
        className="button button-icon"
        aria-label={`Keep ${session.name} awake`}
        title="Keep awake"
      >
        <SunIcon />
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Positioner className="positioner" align="end" sideOffset={4} collisionPadding={8}>
          <Menu.Popup className="popup choices" data-testid="keep-awake">
            {CHOICES.map(({ title, seconds }) => (
              <Menu.Item
                key={title}
                className="choice"
                onClick={() => commands.keepAwake(session.id, seconds)}
              >
                {title}
              </Menu.Item>
            ))}
          </Menu.Popup>
        </Menu.Positioner>
      </Menu.Portal>
    </Menu.Root>
  );
}
