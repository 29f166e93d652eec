// When something was said, in this person's own clock and words.

const DAY = 86_400_000;

export function at(ts) {
  return new Date(Number(ts) * 1000);
}

export function clock(ts) {
  return at(ts).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

export function day(ts, now = new Date()) {
  const start = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  const days = Math.round((start(now) - start(at(ts))) / DAY);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return at(ts).toLocaleDateString([], { weekday: "long", month: "long", day: "numeric" });
}

export function lately(ts) {
  const when = day(ts);
  return `${when === "Today" || when === "Yesterday" ? when.toLowerCase() : when} at ${clock(ts)}`;
}

export function whole(ts) {
  return at(ts).toLocaleString();
}
