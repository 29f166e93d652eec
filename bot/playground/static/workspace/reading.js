// What of each channel this person has read, and what he has begun to write: kept in this browser alone.

const READ = "shipmate.read", DRAFTS = "shipmate.drafts", ME = "shipmate.me";

function kept(storage, key) {
  try {
    return JSON.parse(storage.getItem(key)) ?? {};
  } catch {
    return {};
  }
}

export function whoIAm() {
  return sessionStorage.getItem(ME) ?? localStorage.getItem(ME);
}

export function iAm(person) {
  sessionStorage.setItem(ME, person);
  localStorage.setItem(ME, person);
}

// The last message read, or null on the first visit.
export function readUpTo(person, channel) {
  return kept(localStorage, READ)[`${person}/${channel}`] ?? null;
}

export function read(person, channel, ts) {
  const all = kept(localStorage, READ);
  if ((all[`${person}/${channel}`] ?? "") >= ts) return;
  all[`${person}/${channel}`] = ts;
  localStorage.setItem(READ, JSON.stringify(all));
}

export function draft(person, place) {
  return kept(sessionStorage, DRAFTS)[`${person}/${place}`] ?? "";
}

export function keepDraft(person, place, words) {
  const all = kept(sessionStorage, DRAFTS);
  if (words) all[`${person}/${place}`] = words;
  else delete all[`${person}/${place}`];
  sessionStorage.setItem(DRAFTS, JSON.stringify(all));
}
