/**
 * What a promise rejects with. Called before that happens, so that the rejection does not count as unhandled meanwhile.
 *
 * @throws Error when it resolves
 */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    return error
  }
  throw new Error(`resolved with ${JSON.stringify(value)} instead of rejecting`)
}

/** What a function throws; undefined when it does not. */
export function thrownBy(run: () => unknown): unknown {
  try {
    run()
    return undefined
  } catch (error) {
    return error
  }
}
