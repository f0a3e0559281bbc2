/** Looks for text in one pane, scrollback included. */

import { useEffect, useRef, useState } from "react";
import type { PaneId } from "../core/api";
import { Button } from "./Button";
import { CloseIcon, DownIcon, UpIcon } from "./icons";
import { usePage } from "./page";

export function FindBar({ id }: { id: PaneId }) {
  const { registry, view } = usePage();
  const field = useRef<HTMLInputElement>(null);
  const [missing, setMissing] = useState(false);

  useEffect(() => {
    field.current?.focus();
    void registry.whole(id);
    return () => registry.endFind(id);
  }, [registry, id]);

  const find = async (direction: "next" | "previous", incremental = false) => {
    await registry.whole(id);
    // The bar may be closed by now.
    if (field.current === null) return;
    const text = field.current.value;
    setMissing(text !== "" && !registry.find(id, text, direction, incremental));
  };
  const close = () => view.change({ finding: null });
  return (
    <search className="find" data-missing={missing}>
      <input
        ref={field}
        className="field"
        aria-label="Find in pane"
        aria-invalid={missing}
        placeholder="Find"
        spellCheck={false}
        onChange={() => find("next", true)}
        onKeyDown={(event) => {
          if (event.key === "Enter") find(event.shiftKey ? "previous" : "next");
          else if (event.key === "Escape") close();
        }}
      />
      <Button
        look="icon"
        aria-label="Previous"
        title="Previous (Shift+Enter)"
        onClick={() => find("previous")}
      >
        <UpIcon />
      </Button>
      <Button look="icon" aria-label="Next" title="Next (Enter)" onClick={() => find("next")}>
        <DownIcon />
      </Button>
      <Button look="icon" aria-label="Close" title="Close (Esc)" onClick={close}>
        <CloseIcon />
      </Button>
    </search>
  );
}
