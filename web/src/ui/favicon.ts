/** The page's icon, drawn from the theme's tokens: the mouth of a tunnel with a prompt in it, and a dot when something waits. */

/** Something new in a pane that is not seen, or the connection gone. */
export type Waits = "news" | "lost";

export function faviconFor(waits: Waits | null, token: (name: string) => string): string {
  const ground = token("--surface-2");
  const line = token("--accent");
  const mark = waits === null ? null : token(waits === "news" ? "--alive" : "--failed");
  return `data:image/svg+xml,${encodeURIComponent(drawing(ground, line, mark))}`;
}

function drawing(ground: string, line: string, mark: string | null): string {
  const stroke = `fill="none" stroke="${line}" stroke-linecap="round" stroke-linejoin="round"`;
  const dot =
    mark === null
      ? ""
      : `<circle cx="25" cy="7" r="9" fill="${ground}"/><circle cx="25" cy="7" r="6" fill="${mark}"/>`;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="${ground}"/>` +
    `<path d="M6.5 26V16a9.5 9.5 0 0119 0v10" stroke-width="3" ${stroke}/>` +
    `<path d="M12 16.5l4.5 4.5-4.5 4.5" stroke-width="3" ${stroke}/>${dot}</svg>`
  );
}
