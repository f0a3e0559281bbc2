/** A name being changed: Enter or leaving the field keeps it, Escape does not. */

import { useEffect, useRef } from "react";
import { NAME_CHARS } from "../protocol/wire";

interface Props {
  label: string;
  name: string;
  className?: string;
  /** Called once, with the old name when nothing is to change. */
  onDone: (name: string) => void;
  /** Instead of `onDone` on Escape and, unlike it, when the field is left. */
  onCancel?: () => void;
}

export function NameField({ label, name, className = "", onDone, onCancel }: Props) {
  const field = useRef<HTMLInputElement>(null);
  const done = useRef(false);
  useEffect(() => {
    field.current?.focus();
    field.current?.select();
  }, []);
  const finish = (value: string | null) => {
    if (done.current) return;
    done.current = true;
    if (value === null && onCancel !== undefined) onCancel();
    else onDone(value ?? name);
  };
  return (
    <input
      ref={field}
      className={`field ${className}`.trim()}
      aria-label={label}
      defaultValue={name}
      maxLength={NAME_CHARS}
      spellCheck={false}
      autoComplete="off"
      onBlur={(event) => finish(onCancel === undefined ? event.currentTarget.value : null)}
      onKeyDown={(event) => {
        event.stopPropagation();
        if (event.nativeEvent.isComposing) return;
        if (event.key === "Enter") finish(event.currentTarget.value);
        else if (event.key === "Escape") finish(null);
        else return;
        event.preventDefault();
      }}
    />
  );
}
