import { LockClient } from '@layerlock/client'
import { type LayerlockProcess, startLockServer, waitFor } from '@layerlock/test-support'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/** The classic wrong behaviour of "one does it, the others skip", against a real lock server process. */
describe('an outcome at the lock server', () => {
  let server: LayerlockProcess
  const clients: LockClient[] = []

  function client(node: string): LockClient {
    const made = new LockClient({ url: server.url, node, endpoint: `http://${node}.invalid` })
    clients.push(made)
    return made
  }

  beforeAll(async () => {
    server = await startLockServer()
  })
  afterAll(async () => {
    await Promise.all(clients.map((made) => made.close()))
    await server[Symbol.asyncDispose]()
  })

  async function lead(node: LockClient, key: string) {
    const answer = await node.ticket(key).ask()
    if (answer.status !== 'granted') throw new Error(`expected to be granted, got ${answer.status}`)
    return answer.lease
  }

  test('is told to everyone who asks later, any number of times: nobody fetches again', async () => {
    const [a, b, c, d] = [client('a'), client('b'), client('c'), client('d')]
    await (await lead(a, 'blob/told')).complete({ copy: true })
    for (let round = 0; round < 5; round++) {
      for (const node of [b, c, d]) {
        const answer = await node.ticket('blob/told').ask()
        expect(answer).toMatchObject({ status: 'done', by: { node: 'a' }, copies: [{ node: 'a' }] })
      }
    }
  })

  test('whose copies are all gone makes nobody skip: the next one fetches', async () => {
    const [a, b, c] = [client('a'), client('b'), client('c')]
    await (await lead(a, 'blob/left-over')).complete({ copy: true })
    await b.updateCopies({ add: ['blob/left-over'] })
    await a.close()
    await waitFor(async () => (await c.poll('blob/left-over')).outcome?.copyCount === 1, {
      what: "a's copy to be gone",
    })
    await b.updateCopies({ remove: ['blob/left-over'] })
    expect(await c.poll('blob/left-over')).toMatchObject({ state: 'free' })
    expect(await c.ticket('blob/left-over').ask()).toMatchObject({ status: 'granted' })
  })

  test('is not there after a failure: the first in the queue gets the lease with the error, the others stay queued', async () => {
    const [a, b, c] = [client('a'), client('b'), client('c')]
    const lease = await lead(a, 'blob/failing')
    const [ticketB, ticketC] = [b.ticket('blob/failing'), c.ticket('blob/failing')]
    expect(await ticketB.ask()).toMatchObject({ status: 'queued', position: 1 })
    expect(await ticketC.ask()).toMatchObject({ status: 'queued', position: 2 })
    const answerB = ticketB.next()
    await lease.fail({ code: 'UNKNOWN', message: 'upstream hung up' })
    expect(await answerB).toMatchObject({
      status: 'granted',
      lease: { attempt: 2, lastError: { code: 'UNKNOWN', message: 'upstream hung up' } },
    })
    expect(await ticketC.ask()).toMatchObject({ status: 'queued', position: 1 })
  })

  test('reaches a waiting node at once, not with its next poll', async () => {
    const [a, b] = [client('a'), client('b')]
    const lease = await lead(a, 'blob/at-once')
    const ticket = b.ticket('blob/at-once')
    expect(await ticket.ask()).toMatchObject({ status: 'queued' })
    let answered = false
    const answer = ticket.next().finally(() => (answered = true))
    // The poll is parked at the server now; by itself it would be answered after 25 s only.
    await waitFor(async () => (await b.poll('blob/at-once')).queue.length === 1, { what: 'the wait to begin' })
    expect(answered).toBe(false)
    const completedMs = performance.now()
    await lease.complete({ copy: true })
    expect(await answer).toMatchObject({ status: 'done', copies: [{ node: 'a' }] })
    // Far below the poll's 25 s and any polling interval of seconds, far above what a busy machine takes.
    expect(performance.now() - completedMs).toBeLessThan(5_000)
  })
})
