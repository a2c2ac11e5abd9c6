/** This node's own disk failed: that says nothing about where the bytes came from. */
export class StoreWriteError extends Error {
  override readonly name = 'StoreWriteError'

  constructor(cause: unknown) {
    super(`the store cannot be written: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}
