/** The store cannot be used; the message says which, and why. */
export class StoreError extends Error {
  override readonly name = 'StoreError'
}
