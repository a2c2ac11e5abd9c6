/** Wrong usage: names the setting, its value, and what is allowed. Ends the program with status 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'

  constructor(setting: string, value: unknown, allowed: string) {
    super(
      `${setting}: ${value === undefined ? 'is missing' : `${JSON.stringify(value)} is not allowed`}; expected ${allowed}`,
    )
  }
}
