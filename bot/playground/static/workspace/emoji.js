// The shortcodes that people and bots use here most. One that is not known stays a word between colons.

const EMOJI = {
  "+1": "👍", "-1": "👎", "100": "💯", bug: "🐛", bulb: "💡", clap: "👏", coffee: "☕", construction: "🚧", eyes: "👀",
  fire: "🔥", gear: "⚙️", grinning: "😀", hammer: "🔨", heart: "❤️", heavy_check_mark: "✔️", hourglass: "⌛",
  hourglass_flowing_sand: "⏳", information_source: "ℹ️", joy: "😂", key: "🔑", link: "🔗", lock: "🔒", mag: "🔍", memo: "📝",
  no_entry: "⛔", octagonal_sign: "🛑", ok_hand: "👌", package: "📦", pray: "🙏", question: "❓", raised_hands: "🙌",
  red_circle: "🔴", robot_face: "🤖", rocket: "🚀", ship: "🚢", slightly_smiling_face: "🙂", smile: "😄", sob: "😭",
  sparkles: "✨", star: "⭐", stopwatch: "⏱️", tada: "🎉", thinking_face: "🤔", thumbsdown: "👎", thumbsup: "👍",
  warning: "⚠️", wave: "👋", white_check_mark: "✅", white_circle: "⚪", wrench: "🔧", x: "❌", zap: "⚡",
};

export const QUICK = ["eyes", "white_check_mark", "+1", "tada", "heart", "rocket", "thinking_face", "x"];

export function emoji(name) {
  return Object.hasOwn(EMOJI, name) ? EMOJI[name] : null;
}

// What people see for a shortcode: the character, else the shortcode itself.
export function shown(name) {
  return emoji(String(name).split("::")[0]) ?? `:${name}:`;
}
