import { settled } from './manual-clock.ts'

/** Whether a promise is still open when everything else has settled. */
export async function isOpen(promise: Promise<unknown>): Promise<boolean> {
  let open = true
  const close = () => {
    open = false
  }
  promise.then(close, close)
  await settled()
  return open
}
