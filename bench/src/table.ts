import Table from 'cli-table3'

/** A table for a terminal: the first column and those beyond the head are text, the others numbers. */
export function renderTable(title: string, head: readonly string[], rows: readonly (readonly string[])[]): string {
  // A last column for failures, as long as there are some.
  const filled = rows.map((row) => (row.length > head.length && row.at(-1) === '' ? row.slice(0, -1) : row))
  const width = Math.max(head.length, ...filled.map((row) => row.length))
  const padded = [...head, ...Array<string>(width - head.length).fill('')]
  const colAligns = padded.map((_, index) => (index === 0 || index >= head.length ? 'left' : 'right'))
  const table = new Table({ head: padded, colAligns, style: { head: [], border: [], compact: true } })
  for (const row of filled) table.push([...row, ...Array<string>(width - row.length).fill('')].map(short))
  return `\n${title}\n${table.toString()}\n`
}

/** The longest text of a cell. */
const MAX_TEXT = 100

function short(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text
}

export function milliseconds(value: number | undefined): string {
  return value === undefined ? '' : `${number(value)} ms`
}

/** @param value in bytes */
export function mebibytes(value: number | undefined): string {
  return value === undefined ? '' : `${(value / 1024 ** 2).toFixed(0)} MiB`
}

/** @param value 1 is all */
export function percent(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? '' : `${(value * 100).toFixed(0)} %`
}

export function quotient(value: number | undefined, of: number | undefined): string {
  return value === undefined || of === undefined ? '' : number(value / of)
}

/** With about three digits that mean something. */
export function number(value: number | undefined): string {
  if (value === undefined) return ''
  return Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2)
}
