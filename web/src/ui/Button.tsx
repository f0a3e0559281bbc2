/** A button of the chrome. A click on it leaves the keyboard where it is: in the terminal. */

import type { ButtonHTMLAttributes } from "react";

type Props = ButtonHTMLAttributes<HTMLButtonElement> & { look?: "plain" | "icon" | "filled" | "danger" };

export function Button({ look = "plain", className = "", ...rest }: Props) {
  return (
    <button
      type="button"
      className={`button button-${look} ${className}`.trim()}
      onMouseDown={(event) => event.preventDefault()}
      {...rest}
    />
  );
}
