/** The spans of time that pages look back over. */
export const WINDOWS = [
  [3_600, "1 h"],
  [21_600, "6 h"],
  [86_400, "24 h"],
  [604_800, "7 d"],
] as const;

export type Span = (typeof WINDOWS)[number][0];

/** The width of a point of a chart, in seconds. */
const STEPS: Record<Span, number> = { 3_600: 60, 21_600: 300, 86_400: 3_600, 604_800: 7_200 };

export const stepOf = (span: Span): number => STEPS[span];

/** The span that an address asks for; an hour where it asks for none. */
export function spanOf(asked: string | undefined): Span {
  return WINDOWS.find(([span]) => String(span) === asked)?.[0] ?? 3_600;
}
