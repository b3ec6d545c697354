/** The search box's words, as the API's `q` takes them: each is text, `"quoted text"`, or `qualifier:value`; `-` before it means not. */

export interface Word {
  /** The word as it stands in the text. */
  text: string;
  from: number;
  to: number;
}

const WORD = /-?(?:[^\s":]+:)?"[^"]*"?|\S+/g;

export function words(text: string): Word[] {
  return [...text.matchAll(WORD)].map((match) => ({ text: match[0], from: match.index, to: match.index + match[0].length }));
}

/** A qualifier with its value; quoted where it holds what would end the word. */
export const qualified = (name: string, value: string): string => `${name}:${/[\s"]/.test(value) ? `"${value.replaceAll('"', "")}"` : value}`;

/** The values of a qualifier in a text. */
export function valuesOf(text: string, name: string): string[] {
  const values = words(text).filter((word) => word.text.startsWith(`${name}:`));
  return values.map((word) => word.text.slice(name.length + 1).replaceAll('"', ""));
}

/** The text with one qualifier set to a value, or taken out. */
export function withQualifier(text: string, name: string, value: string | undefined): string {
  const rest = words(text).map((word) => word.text).filter((word) => !word.startsWith(`${name}:`));
  return (value === undefined ? rest : [qualified(name, value), ...rest]).join(" ");
}

/** True where the text asks for nothing beside these qualifiers. */
export const asksOnly = (text: string, names: string[]): boolean =>
  words(text).every((word) => names.some((name) => word.text.startsWith(`${name}:`)));
