import { setTimeout as sleep } from 'node:timers/promises'
import type { LockUser } from '../lock-user.ts'
import type { Reading } from '../task.ts'

/** One does the work of each key, many wait for its value: from the end of the work until everyone has it. */
export async function crowd(
  user: LockUser,
  { run, waiters, keys }: { readonly run: string; readonly waiters: number; readonly keys: number },
): Promise<Reading> {
  const once = user.once?.bind(user)
  const waiting = user.waiting?.bind(user)
  if (once === undefined || waiting === undefined) throw new Error('this contender has no outcomes')
  const names = Array.from({ length: keys }, (_, index) => `crowd/${run}/${index}`)
  const finish = Promise.withResolvers<void>()
  const begun = names.map(() => Promise.withResolvers<void>())
  const workers = names.map((name, index) =>
    once(name, async () => {
      begun[index]!.resolve()
      await finish.promise
      return index
    }),
  )
  await Promise.all(begun.map(({ promise }) => promise))

  const startMs = performance.now()
  const others = Promise.all(
    Array.from({ length: waiters }, async (_, index) => {
      const of = index % keys
      const { ran, value } = await once(names[of]!, () => Promise.reject(new Error('the work was run twice')))
      if (ran || value !== of) throw new Error(`${names[of]} gave ${value}`)
    }),
  )
  const joined = async () => {
    for (const name of names) while ((await waiting(name)) < waiters / keys) await sleep(20)
    const inLineMs = performance.now() - startMs
    const finishedAtMs = performance.now()
    finish.resolve()
    return { inLineMs, finishedAtMs }
  }
  const [{ inLineMs, finishedAtMs }] = await Promise.all([joined(), others, ...workers])
  return { numbers: { inLineMs, doneMs: performance.now() - finishedAtMs } }
}
