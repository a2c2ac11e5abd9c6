/** Wrong usage: names the setting, its value, and what is allowed. Ends the program with status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'

  /** @param value of a table only the names are shown, since there may be secrets in it; `HIDDEN` for what is one */
  constructor(setting: string, value: unknown, allowed: string) {
    super(`${setting}: ${value === undefined ? 'is missing' : `${shown(value)} is not allowed`}; expected ${allowed}`)
  }
}

/** Stands for a value that may be a secret. */
export const HIDDEN = '…'

function shown(value: unknown): string {
  return JSON.stringify(value, (name, inner: unknown) => (name === '' || isTable(inner) ? inner : HIDDEN))
}

function isTable(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}
