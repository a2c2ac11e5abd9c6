import type { WorkError } from '@layerlock/protocol'

/** An error in the form in which it travels: its code (or name) and message, no stack. */
export function workErrorOf(error: unknown): WorkError {
  if (!(error instanceof Error)) return { code: 'error', message: String(error) }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name
  return { code, message: error.message }
}
