/** What can be done with a pane, in its upper right corner while the pointer or the keyboard is there. */

import type { PaneId } from "../core/api";
import { Button } from "./Button";
import { CloseIcon, SplitDownIcon, SplitRightIcon, UnzoomIcon, ZoomIcon } from "./icons";
import { usePage } from "./page";

interface Props {
  id: PaneId;
  /** The only pane of its tab: nothing to zoom out of. */
  alone: boolean;
  zoomed: boolean;
}

export function PaneControls({ id, alone, zoomed }: Props) {
  const { commands, shortcuts } = usePage();
  const zoomTitle = zoomed ? "Show all panes" : "Zoom pane";
  return (
    <div className="pane-controls" role="toolbar" aria-label="Pane">
      <Button
        look="icon"
        aria-label="Split right"
        title={shortcuts.hint("Split right", "split_right")}
        onClick={() => commands.split(id, "horizontal")}
      >
        <SplitRightIcon />
      </Button>
      <Button
        look="icon"
        aria-label="Split down"
        title={shortcuts.hint("Split down", "split_down")}
        onClick={() => commands.split(id, "vertical")}
      >
        <SplitDownIcon />
      </Button>
      {!alone && (
        <Button
          look="icon"
          aria-label={zoomTitle}
          aria-pressed={zoomed}
          title={shortcuts.hint(zoomTitle, "zoom")}
          onClick={() => commands.zoom(id)}
        >
          {zoomed ? <UnzoomIcon /> : <ZoomIcon />}
        </Button>
      )}
      <Button
        look="icon"
        aria-label="Close pane"
        title={shortcuts.hint("Close pane", "close_pane")}
        onClick={() => commands.closePane(id)}
      >
        <CloseIcon />
      </Button>
    </div>
  );
}
