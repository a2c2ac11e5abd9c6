import { describe, expect, test } from 'vitest'

import { RequestLog, type RequestRecord } from './request-log.ts'

function record(fields: Partial<RequestRecord>): RequestRecord {
  return {
    method: 'GET',
    url: '/',
    kind: 'blob',
    repository: 'library/app',
    reference: undefined,
    digest: undefined,
    range: undefined,
    userAgent: undefined,
    authorization: false,
    nth: 1,
    startedMs: 0,
    fault: undefined,
    status: 200,
    bytesSent: 0,
    endedMs: 1,
    completed: true,
    ...fields,
  }
}

describe('RequestLog', () => {
  test('countOf() counts what matches every field', () => {
    const log = new RequestLog()
    log.add(record({ digest: 'a' }))
    log.add(record({ digest: 'a', method: 'HEAD' }))
    log.add(record({ digest: 'b' }))
    expect(log.countOf({ method: 'GET', digest: 'a' })).toBe(1)
    expect(log.countOf({ method: 'GET' })).toBe(2)
    expect(log.countOf()).toBe(3)
  })

  test('bytesOf() sums a digest over all requests, and everything without one', () => {
    const log = new RequestLog()
    log.add(record({ digest: 'a', bytesSent: 10 }))
    log.add(record({ digest: 'a', bytesSent: 5, kind: 'storage', completed: false }))
    log.add(record({ digest: 'b', bytesSent: 1 }))
    expect(log.bytesOf('a')).toBe(15)
    expect(log.bytesOf()).toBe(16)
  })

  test('nth() counts requests with the same method, kind and reference, from 1 again after clear()', () => {
    const log = new RequestLog()
    const request = { method: 'GET', kind: 'manifest', reference: 'latest' } as const
    expect([log.nth(request), log.nth(request), log.nth({ ...request, method: 'HEAD' })]).toEqual([1, 2, 1])
    log.clear()
    expect(log.nth(request)).toBe(1)
  })

  test('settled() waits for requests that are being answered', async () => {
    const log = new RequestLog()
    const open = record({ endedMs: undefined })
    log.add(open)
    await expect(log.settled({ timeoutMs: 1 })).rejects.toThrow('the last request to be answered')
    open.endedMs = 1
    await log.settled()
  })
})
