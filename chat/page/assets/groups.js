// Under which heading a kept conversation stands: pinned ones first, then by when it was last used.
import { byLanguage } from "./lang.js";

const DAY_MS = 24 * 60 * 60 * 1000;

export const inOrder = (entries) =>
  [...entries].sort((one, other) =>
    Boolean(other.pinned) - Boolean(one.pinned) || other.updated - one.updated
  );

export const headingOf = ({ pinned, updated }, now = new Date()) => {
  if (pinned) return "Pinned";
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  if (updated >= midnight) return "Today";
  if (updated >= midnight - DAY_MS) return "Yesterday";
  if (updated >= midnight - 7 * DAY_MS) return "Last 7 days";
  const when = new Date(updated);
  const year = when.getFullYear() === now.getFullYear() ? {} : { year: "numeric" };
  return when.toLocaleDateString(byLanguage, { month: "long", ...year });
};
