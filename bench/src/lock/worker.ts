/**
 * The process of one contender's user: connects, then carries out the tasks that it is sent, one after another. Ends
 * with the process that started it. Arguments: the contender's name and its server's URL.
 */
import { connect, type ContenderName } from './lock-user.ts'
import { perform, type Task } from './task.ts'

const CLOSE_TIMEOUT_MS = 3_000

const [name, url] = process.argv.slice(2)
const user = await connect(name as ContenderName, url!)
process.once('disconnect', () => {
  // Those who still wait for a lock are told that the user was closed, and there is nobody to tell it to.
  process.on('unhandledRejection', () => undefined)
  // A server that no longer answers must not keep this process.
  setTimeout(() => process.exit(), CLOSE_TIMEOUT_MS)
  user[Symbol.asyncDispose]().then(
    () => process.exit(),
    () => process.exit(),
  )
})

process.on('message', (task: Task) => {
  // What the task before left behind is not to be paid for by this one.
  globalThis.gc?.()
  perform(user, task).then(
    (reading) => process.send?.({ reading }),
    (error: unknown) => process.send?.({ failure: String(error) }),
  )
})
process.send?.({ ready: true })
