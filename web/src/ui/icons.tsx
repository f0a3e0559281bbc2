/** The page's own drawings: 16×16, one stroke, in the colour of the text around them. */

import type { ReactNode } from "react";

function Icon({ children }: { children: ReactNode }) {
  return (
    <svg className="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

export const PlusIcon = () => (
  <Icon>
    <path d="M8 3.5v9M3.5 8h9" />
  </Icon>
);

export const CloseIcon = () => (
  <Icon>
    <path d="M4.5 4.5l7 7M11.5 4.5l-7 7" />
  </Icon>
);

export const ChevronIcon = () => (
  <Icon>
    <path d="M5 6.5l3 3 3-3" />
  </Icon>
);

export const SplitRightIcon = () => (
  <Icon>
    <rect x="2.5" y="3" width="11" height="10" rx="1.5" />
    <path d="M8 3v10M10.75 6.25v3.5M9.75 8h2" />
  </Icon>
);

export const SplitDownIcon = () => (
  <Icon>
    <rect x="2.5" y="3" width="11" height="10" rx="1.5" />
    <path d="M2.5 8h11M8 9.5v2M7 10.5h2" />
  </Icon>
);

export const ZoomIcon = () => (
  <Icon>
    <path d="M9.5 3H13v3.5M6.5 13H3V9.5M13 3L9.25 6.75M3 13l3.75-3.75" />
  </Icon>
);

export const UnzoomIcon = () => (
  <Icon>
    <path d="M12.75 6.75h-3.5v-3.5M3.25 9.25h3.5v3.5M9.25 6.75L13 3M6.75 9.25L3 13" />
  </Icon>
);

export const PencilIcon = () => (
  <Icon>
    <path d="M3 13l.6-2.8 6.9-6.9a1.2 1.2 0 011.7 0l.5.5a1.2 1.2 0 010 1.7l-6.9 6.9L3 13zM9.5 4.3l2.2 2.2" />
  </Icon>
);

export const MoonIcon = () => (
  <Icon>
    <path d="M12.8 9.6A5.2 5.2 0 016.4 3.2a5.2 5.2 0 106.4 6.4z" />
  </Icon>
);

export const SunIcon = () => (
  <Icon>
    <circle cx="8" cy="8" r="2.75" />
    <path d="M8 1.75v1.5M8 12.75v1.5M1.75 8h1.5M12.75 8h1.5M3.6 3.6l1.05 1.05M11.35 11.35l1.05 1.05M3.6 12.4l1.05-1.05M11.35 4.65l1.05-1.05" />
  </Icon>
);

export const BinIcon = () => (
  <Icon>
    <path d="M3 4.5h10M6.5 4.5V3h3v1.5M4.5 4.5l.5 8.5h6l.5-8.5M6.75 7v3.5M9.25 7v3.5" />
  </Icon>
);

export const CopyIcon = () => (
  <Icon>
    <rect x="5.5" y="5.5" width="7.5" height="7.5" rx="1.5" />
    <path d="M10.5 5.5V4A1.5 1.5 0 009 2.5H4.5A1.5 1.5 0 003 4v4.5A1.5 1.5 0 004.5 10h1" />
  </Icon>
);

export const HelpIcon = () => (
  <Icon>
    <path d="M6 6.1a2 2 0 113 1.7c-.7.4-1 .8-1 1.5v.2" />
    <path d="M8 11.6v.1" />
  </Icon>
);

export const CheckIcon = () => (
  <Icon>
    <path d="M3.5 8.5l3 3 6-7" />
  </Icon>
);

export const UpIcon = () => (
  <Icon>
    <path d="M4.5 9.5L8 6l3.5 3.5" />
  </Icon>
);

export const DownIcon = () => (
  <Icon>
    <path d="M4.5 6.5L8 10l3.5-3.5" />
  </Icon>
);
