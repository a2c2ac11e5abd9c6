/** The name of a key in a table, as TOML would write it. */
export function keyIn(setting: string, key: string): string {
  return `${setting}.${/^[\w-]+$/.test(key) ? key : JSON.stringify(key)}`
}
