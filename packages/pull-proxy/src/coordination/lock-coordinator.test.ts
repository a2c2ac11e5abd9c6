import { LockServer, MemoryLockStore } from '@layerlock/server'
import { freePort, startCountingProxy, waitFor } from '@layerlock/test-support'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { failureOf } from '../failure-of.testbed.ts'
import { digestOf } from '../oci/digest.ts'
import { OciError } from '../oci/oci-error.ts'
import type { Claim, ClaimAnswer, Lead } from './coordinator.ts'
import { connectCoordinator, type TestCoordinatorOptions } from './lock-coordinator.testbed.ts'
import type { LockCoordinator } from './lock-coordinator.ts'

const digest = digestOf(Buffer.from('a blob'))
const group = 'docker.io/library/app'
const { signal } = new AbortController()
const HOUR_MS = 3_600_000

/** An address of its own, so that nobody takes the port while the server is away. */
const host = '127.0.0.41'
let stack: AsyncDisposableStack
let port: number
let server: LockServer

beforeEach(async () => {
  stack = new AsyncDisposableStack()
  port = await freePort(host)
  server = await startServer()
})

afterEach(async () => {
  await stack.disposeAsync()
  await server[Symbol.asyncDispose]()
})

interface NodeOptions extends TestCoordinatorOptions {
  readonly url?: string
}

/** Always at the same address, always with an empty store. */
function startServer(): Promise<LockServer> {
  return LockServer.start({ host, port, store: new MemoryLockStore() })
}

async function startNode(node: string, { url = server.url, ...options }: NodeOptions = {}): Promise<LockCoordinator> {
  return stack.use(await connectCoordinator(url, node, options))
}

function claimOf(coordinator: LockCoordinator, of = group): Claim {
  return stack.use(coordinator.claim(digest, of))
}

function leadOf(answer: ClaimAnswer): Lead {
  if (answer.kind !== 'lead') throw new Error(`expected to lead, but was to ${answer.kind}`)
  return answer.lead
}

/** The next answer that is not to go on following. */
async function nextTurn(claim: Claim): Promise<ClaimAnswer> {
  for (;;) {
    const answer = await claim.next(signal)
    if (answer.kind !== 'follow') return answer
  }
}

const peer = (node: string) => ({ node, endpoint: `http://${node}:1` })

describe('two nodes that want the same blob', () => {
  test('get one lead; the other follows, and is told of the copy', async () => {
    const [a, b] = [claimOf(await startNode('a')), claimOf(await startNode('b'))]
    const lead = leadOf(await a.ask(signal))
    expect(await b.ask(signal)).toEqual({ kind: 'follow', source: peer('a') })
    const turn = nextTurn(b)
    await lead.completed()
    expect(await turn).toMatchObject({ kind: 'copies', copies: [peer('a')] })
    const late = claimOf(await startNode('c'))
    expect(await late.ask(signal)).toMatchObject({ kind: 'copies', copies: [peer('a')] })
  })

  test('get the lead one after the other when the first one fails', async () => {
    const [a, b] = [claimOf(await startNode('a')), claimOf(await startNode('b'))]
    const lead = leadOf(await a.ask(signal))
    await b.ask(signal)
    const turn = nextTurn(b)
    await lead.failed(new OciError('UNKNOWN', 'upstream failed'))
    expect((await turn).kind).toBe('lead')
  })

  test('get the lead one after the other when the first one gives it back', async () => {
    const [a, b] = [claimOf(await startNode('a')), claimOf(await startNode('b'))]
    const lead = leadOf(await a.ask(signal))
    await b.ask(signal)
    const turn = nextTurn(b)
    await lead.released()
    expect((await turn).kind).toBe('lead')
  })

  test('are both told what cannot work, with its code', async () => {
    const [a, b] = [claimOf(await startNode('a')), claimOf(await startNode('b'))]
    const lead = leadOf(await a.ask(signal))
    await b.ask(signal)
    const turn = nextTurn(b)
    await lead.failed(new OciError('DENIED', 'not for you'))
    expect(await turn).toMatchObject({ kind: 'refused', error: { code: 'DENIED', message: 'not for you' } })
  })

  test('through different repositories are not told what concerns the other only', async () => {
    const [a, b] = [claimOf(await startNode('a')), claimOf(await startNode('b'), 'docker.io/library/other')]
    const lead = leadOf(await a.ask(signal))
    await b.ask(signal)
    const turn = nextTurn(b)
    await lead.failed(new OciError('DENIED', 'not for you'))
    expect((await turn).kind).toBe('lead')
  })

  test('are both told at once when upstream wants to be left alone for long', async () => {
    const [a, b] = [claimOf(await startNode('a')), claimOf(await startNode('b'))]
    const lead = leadOf(await a.ask(signal))
    await b.ask(signal)
    const turn = nextTurn(b)
    await lead.failed(new OciError('TOOMANYREQUESTS', 'slow down', { retryAfterMs: HOUR_MS }))
    const error: unknown = expect.objectContaining({ code: 'TOOMANYREQUESTS', retryAfterMs: expect.any(Number) })
    const told = await turn
    expect(told).toEqual({ kind: 'refused', error })
    const retryAfterMs = told.kind === 'refused' ? told.error.retryAfterMs : undefined
    expect(retryAfterMs).toBeGreaterThan(HOUR_MS - 60_000)
  })

  test('hand over when the leader gives up its wish without a word', async () => {
    const a = await startNode('a')
    const b = claimOf(await startNode('b'))
    const claim = a.claim(digest, group)
    await claim.ask(signal)
    await b.ask(signal)
    const turn = nextTurn(b)
    await claim[Symbol.asyncDispose]()
    expect((await turn).kind).toBe('lead')
  })
})

describe('a copy', () => {
  test('that arrived without leading is one that others are told of', async () => {
    const a = claimOf(await startNode('a'))
    await leadOf(await a.ask(signal)).completed()
    const b = claimOf(await startNode('b'))
    await b.ask(signal)
    await b.arrived()
    const answer = await claimOf(await startNode('c')).ask(signal)
    expect(answer).toMatchObject({ kind: 'copies', copies: expect.arrayContaining([peer('a'), peer('b')]) })
  })

  test('that is withdrawn is one no more', async () => {
    const a = await startNode('a')
    await leadOf(await claimOf(a).ask(signal)).completed()
    await a.withdraw([digest])
    expect((await claimOf(await startNode('b')).ask(signal)).kind).toBe('lead')
  })

  test('is announced again when the session was lost', async () => {
    const sessions: string[] = []
    const a = await startNode('a', { contents: [digest], onSession: (id) => sessions.push(id) })
    await server[Symbol.asyncDispose]()
    server = await startServer()
    await waitFor(() => sessions.length === 2, { what: 'the second session' })
    const b = await startNode('b')
    const copies = waitFor(
      async () => {
        await using claim = b.claim(digest, group)
        const answer = await claim.ask(signal)
        return answer.kind === 'copies' && answer.copies
      },
      { what: 'the copy to be announced' },
    )
    expect(await copies).toEqual([peer('a')])
    expect(a.status().degraded).toBe(false)
  })

  test('is taken over by the next life of the process', async () => {
    const sessions: string[] = []
    const a = await startNode('a', { onSession: (id) => sessions.push(id) })
    await leadOf(await claimOf(a).ask(signal)).completed()
    // It lives on at another address, as after a restart.
    await startNode('a2', { resume: sessions[0]! })
    const answer = await claimOf(await startNode('b')).ask(signal)
    expect(answer).toMatchObject({ kind: 'copies', copies: [peer('a2')] })
  })
})

describe('an outcome', () => {
  test('is passed over when a node insists', async () => {
    await leadOf(await claimOf(await startNode('a')).ask(signal)).completed()
    const b = claimOf(await startNode('b'))
    expect((await b.ask(signal)).kind).toBe('copies')
    b.insist()
    expect((await b.ask(signal)).kind).toBe('lead')
  })

  test('that is forgotten leads to one lead, however many find out', async () => {
    await leadOf(await claimOf(await startNode('a')).ask(signal)).completed()
    const claims = [claimOf(await startNode('b')), claimOf(await startNode('c'))]
    const answers = await Promise.all(claims.map((claim) => claim.ask(signal)))
    for (const [index, answer] of answers.entries()) {
      if (answer.kind === 'copies') await claims[index]!.forget(answer.outcome)
    }
    const again = await Promise.all(claims.map((claim) => claim.ask(signal)))
    expect(again.map(({ kind }) => kind).toSorted()).toEqual(['follow', 'lead'])
    await leadOf(again.find(({ kind }) => kind === 'lead')!).completed()
    // A late one names an outcome that is no longer there, and does no harm.
    if (answers[0]?.kind === 'copies') await claims[0]!.forget(answers[0].outcome)
    expect((await claimOf(await startNode('d')).ask(signal)).kind).toBe('copies')
  })
})

describe('without the lock server', () => {
  test('a node leads, and that is counted', async () => {
    const a = await startNode('a')
    await server[Symbol.asyncDispose]()
    const lead = leadOf(await claimOf(a).ask(signal))
    await lead.completed()
    await lead.failed(new OciError('UNKNOWN', 'x'))
    await lead.released()
    expect(a.status()).toEqual({ degradedPulls: 1, degraded: true })
    server = await startServer()
  })

  test('a node waits for it once, and not again with each pull', async () => {
    await using proxy = await startCountingProxy({ target: server.url })
    const a = await startNode('a', { url: proxy.url, lockTimeoutMs: 200 })
    proxy.fault = () => ({ kind: 'hang' })
    leadOf(await claimOf(a).ask(signal))
    const asked = proxy.requests.countOf()
    const answers = await Promise.all(Array.from({ length: 5 }, () => claimOf(a).ask(signal)))
    expect(answers.every(({ kind }) => kind === 'lead')).toBe(true)
    expect(proxy.requests.all.slice(asked).filter(({ url }) => url.includes('/acquire'))).toEqual([])
    expect(a.status()).toEqual({ degradedPulls: 6, degraded: true })
  })

  test('a node asks again as soon as it is back', async () => {
    const a = await startNode('a')
    await server[Symbol.asyncDispose]()
    leadOf(await claimOf(a).ask(signal))
    server = await startServer()
    await waitFor(() => !a.status().degraded, { what: 'the session to be opened again' })
    const lead = leadOf(await claimOf(a).ask(signal))
    await lead.completed()
    expect(a.status().degradedPulls).toBe(1)
    expect((await claimOf(await startNode('b')).ask(signal)).kind).toBe('copies')
  })

  test('a blob that was pulled meanwhile is announced when it is back, also in the same session', async () => {
    await using proxy = await startCountingProxy({ target: server.url })
    const sessions: string[] = []
    const onSession = (id: string) => void sessions.push(id)
    const a = await startNode('a', { url: proxy.url, lockTimeoutMs: 200, onSession })
    // Renewals get through, so there is no new session that would announce everything.
    proxy.fault = ({ url }) => (url.includes('/acquire') ? { kind: 'hang' } : undefined)
    const claim = a.claim(digest, group)
    await leadOf(await claim.ask(signal)).completed()
    await claim[Symbol.asyncDispose]()
    proxy.fault = undefined
    const b = await startNode('b')
    const copies = waitFor(
      async () => {
        await using other = b.claim(digest, group)
        const answer = await other.ask(signal)
        return answer.kind === 'copies' && answer.copies
      },
      { what: 'the copy to be announced', timeoutMs: 15_000 },
    )
    expect(await copies).toEqual([peer('a')])
    expect(sessions).toHaveLength(1)
  })

  test('a node follows no longer: next() rejects, and asking again leads', async () => {
    const a = await startNode('a', { lockTimeoutMs: 200 })
    const b = claimOf(await startNode('b', { lockTimeoutMs: 200 }))
    leadOf(await claimOf(a).ask(signal))
    expect((await b.ask(signal)).kind).toBe('follow')
    const turn = failureOf(nextTurn(b))
    await server[Symbol.asyncDispose]()
    expect(await turn).toMatchObject({ code: 'unavailable' })
    expect((await b.ask(signal)).kind).toBe('lead')
    server = await startServer()
  })

  test('a node that starts can pull', async () => {
    await server[Symbol.asyncDispose]()
    const a = await startNode('a', { lockTimeoutMs: 200 })
    expect((await claimOf(a).ask(signal)).kind).toBe('lead')
    server = await startServer()
  })

  test('a lead whose answer was lost does not hold up the others for good', async () => {
    await using proxy = await startCountingProxy({ target: server.url })
    const a = await startNode('a', { url: proxy.url, lockTimeoutMs: 300 })
    // The server grants, and the node never learns of it.
    proxy.fault = ({ url }) => (url.includes('/acquire') ? { kind: 'hang', afterBytes: 0 } : undefined)
    const claim = a.claim(digest, group)
    const lead = leadOf(await claim.ask(signal))
    const b = claimOf(await startNode('b'))
    expect((await b.ask(signal)).kind).toBe('follow')
    const turn = nextTurn(b)
    await lead.completed()
    await claim[Symbol.asyncDispose]()
    expect((await turn).kind).not.toBe('follow')
  })

  test('ask() rejects with the reason of its signal', async () => {
    await using proxy = await startCountingProxy({ target: server.url })
    const a = await startNode('a', { url: proxy.url })
    proxy.fault = () => ({ kind: 'hang' })
    const stop = new AbortController()
    const asking = failureOf(claimOf(a).ask(stop.signal))
    const reason = new Error('the proxy stops')
    stop.abort(reason)
    expect(await asking).toBe(reason)
    expect(a.status().degradedPulls).toBe(0)
  })
})
