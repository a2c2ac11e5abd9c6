/** The process that makes the load: carries out the tasks that it is sent, one after another. */
import { perform, type Task } from './task.ts'

process.once('disconnect', () => process.exit())
process.on('message', (task: Task) => {
  perform(task).then(
    (reading) => process.send?.({ reading }),
    (error: unknown) => process.send?.({ failure: String(error) }),
  )
})
process.send?.({ ready: true })
