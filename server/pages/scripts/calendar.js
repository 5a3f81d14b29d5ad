/**
 * How does an ISO 8601 text become a number on the time line of its calendar, and back?
 *
 * Numbers are seconds since 1970-01-01T00:00:00 in the calendar of the axis (CF conventions, section 4.4.1), so that
 * 30 February of the 360_day calendar has its place. JavaScript's Date knows one calendar only and is not used.
 */

export const DAY = 86400;
const MONTH_LENGTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const LEAP_LENGTHS = MONTH_LENGTHS.map((length, month) => (month === 1 ? 29 : length));
const FIXED_YEARS = {
  "360_day": Array(12).fill(30),
  "365_day": MONTH_LENGTHS,
  noleap: MONTH_LENGTHS,
  "366_day": LEAP_LENGTHS,
  all_leap: LEAP_LENGTHS,
};
/** First day of the Gregorian calendar in CF's mixed "standard" calendar: 1582-10-15, as days since 1970. */
const GREGORIAN_START = -141427;
const ISO = /^(-?\d{4,6})(?:-(\d{2})(?:-(\d{2})(?:[T ](\d{2})(?::?(\d{2})(?::?(\d{2}(?:\.\d+)?))?)?Z?)?)?)?$/i;

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** Days since 1970-01-01 of a date in the Gregorian or the Julian calendar, both extended to all years. */
function civilToDays(year, month, day, julian) {
  const y = month <= 2 ? year - 1 : year;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const leapDays = Math.floor(y / 4) + (julian ? 0 : Math.floor(y / 400) - Math.floor(y / 100));
  return y * 365 + leapDays + dayOfYear - (julian ? 719470 : 719468);
}

function daysToCivil(days, julian) {
  const shifted = days + (julian ? 719470 : 719468);
  // An estimate of the year (counted from 1 March) that is off by one at most, then corrected.
  let y = Math.floor(shifted / (julian ? 365.25 : 365.2425));
  const start = (year) => civilToDays(year, 3, 1, julian) + (julian ? 719470 : 719468);
  while (start(y) > shifted) y -= 1;
  while (start(y + 1) <= shifted) y += 1;
  const dayOfYear = shifted - start(y);
  const m = Math.floor((5 * dayOfYear + 2) / 153);
  const month = m < 10 ? m + 3 : m - 9;
  return { year: month <= 2 ? y + 1 : y, month, day: dayOfYear - Math.floor((153 * m + 2) / 5) + 1 };
}

const isMixed = (calendar) => calendar === "standard" || calendar === "gregorian";

function dateToDays(year, month, day, calendar) {
  const lengths = FIXED_YEARS[calendar];
  if (lengths) return (year - 1970) * sum(lengths) + sum(lengths.slice(0, month - 1)) + day - 1;
  if (calendar === "julian") return civilToDays(year, month, day, true);
  const days = civilToDays(year, month, day, false);
  return isMixed(calendar) && days < GREGORIAN_START ? civilToDays(year, month, day, true) : days;
}

function daysToDate(days, calendar) {
  const lengths = FIXED_YEARS[calendar];
  if (!lengths) return daysToCivil(days, calendar === "julian" || (isMixed(calendar) && days < GREGORIAN_START));
  const yearLength = sum(lengths);
  const year = 1970 + Math.floor(days / yearLength);
  let rest = days - (year - 1970) * yearLength;
  let month = 0;
  while (rest >= lengths[month]) rest -= lengths[month++];
  return { year, month: month + 1, day: rest + 1 };
}

/** Seconds since 1970 in `calendar` of an ISO 8601 date or date-time in UTC, or null where the text is none. */
export function parse(text, calendar) {
  const match = ISO.exec(text.trim());
  if (!match) return null;
  const [year, month, day, hour, minute, second] = match
    .slice(1)
    .map((part, index) => (part === undefined ? Number(index === 1 || index === 2) : Number(part)));
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 24 || minute > 59 || second >= 61) return null;
  return dateToDays(year, month, day, calendar) * DAY + hour * 3600 + minute * 60 + second;
}

/** Year, month, day, hour, minute and second of a number of `parse`. */
export function fields(seconds, calendar) {
  const days = Math.floor(seconds / DAY);
  const rest = seconds - days * DAY;
  return {
    ...daysToDate(days, calendar),
    hour: Math.floor(rest / 3600),
    minute: Math.floor((rest % 3600) / 60),
    second: rest % 60,
  };
}

const pad = (number, width = 2) => String(number).padStart(width, "0");
const yearText = (year) => (year < 0 ? "-" : "") + pad(Math.abs(year), 4);

/** ISO 8601 with seconds and Z, as the server writes whole seconds. */
export function format(seconds, calendar) {
  const f = fields(seconds, calendar);
  return `${yearText(f.year)}-${pad(f.month)}-${pad(f.day)}T${pad(f.hour)}:${pad(f.minute)}:${pad(Math.floor(f.second))}Z`;
}

const SHORT_STEPS = [1, 5, 15, 60, 300, 900, 3600, 10800, 21600, 43200, DAY, 2 * DAY, 5 * DAY, 10 * DAY];
const MONTH_STEPS = [1, 2, 3, 6];
const YEAR_STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/**
 * Places for at most about `count` ticks between two times, each with its label: whole years, months, days or hours of
 * the calendar itself.
 */
export function ticks(min, max, calendar, count) {
  const span = Math.max(max - min, 1);
  const step = SHORT_STEPS.find((seconds) => span / seconds <= count);
  if (step) {
    const places = [];
    for (let t = Math.ceil(min / step) * step; t <= max; t += step) places.push(t);
    return { places, labels: places.map((t) => shortLabel(t, step, calendar)) };
  }
  const months = [...MONTH_STEPS, ...YEAR_STEPS.map((years) => years * 12)];
  const every = months.find((n) => span / (n * 30 * DAY) <= count) ?? months.at(-1);
  const first = fields(min, calendar);
  const places = [];
  let month = Math.ceil((first.year * 12 + first.month - 1) / every) * every;
  for (; ; month += every) {
    const place = dateToDays(Math.floor(month / 12), (((month % 12) + 12) % 12) + 1, 1, calendar) * DAY;
    if (place > max) break;
    if (place >= min) places.push(place);
  }
  const labels = places.map((t) => {
    const f = fields(t, calendar);
    return every % 12 === 0 ? yearText(f.year) : `${yearText(f.year)}-${pad(f.month)}`;
  });
  return { places, labels };
}

function shortLabel(seconds, step, calendar) {
  const text = format(seconds, calendar);
  if (step >= DAY) return text.slice(0, -10);
  const date = text.slice(0, -10);
  const clock = step >= 60 ? text.slice(-9, -4) : text.slice(-9, -1);
  return clock.startsWith("00:00") ? `${date}` : clock;
}
