import { expect, test } from 'vitest'
import { SoloCoordinator } from './solo-coordinator.ts'

const { signal } = new AbortController()
const share = { retainMs: 60_000, group: 'docker.io/library/app', signal }

test('a solo coordinator lets every flight lead', async () => {
  const claim = new SoloCoordinator().claim()
  expect((await claim.ask(signal)).kind).toBe('lead')
  expect((await claim.ask(signal)).kind).toBe('lead')
})

test('share() does the work once for all who ask while it is done, and for a while after', async () => {
  const solo = new SoloCoordinator()
  let runs = 0
  const work = () => Promise.resolve(++runs)
  expect(await Promise.all([solo.share('a', work, share), solo.share('a', work, share)])).toMatchObject([
    { value: 1 },
    { value: 1 },
  ])
  expect(await solo.share('a', work, share)).toMatchObject({ value: 1 })
  expect(await solo.share('b', work, share)).toMatchObject({ value: 2 })
})

test('share() does the work again when its result is too old', async () => {
  const solo = new SoloCoordinator()
  let runs = 0
  const work = () => Promise.resolve(++runs)
  await solo.share('a', work, { ...share, retainMs: 0 })
  await new Promise((resolve) => setTimeout(resolve, 10))
  expect(await solo.share('a', work, share)).toMatchObject({ value: 2 })
})

test('share() does the work again after a failure', async () => {
  const solo = new SoloCoordinator()
  await expect(solo.share('a', () => Promise.reject(new Error('upstream failed')), share)).rejects.toThrow('upstream')
  expect(await solo.share('a', () => Promise.resolve('found'), share)).toMatchObject({ value: 'found' })
})

test('share() passes a failure on to its own group only, and others do their own work', async () => {
  const solo = new SoloCoordinator()
  const fail = () => Promise.reject(new Error('not for alice'))
  const results = await Promise.allSettled([
    solo.share('a', fail, share),
    solo.share('a', () => Promise.resolve('mine'), share),
    solo.share('a', () => Promise.resolve('bob’s'), { ...share, group: 'bob' }),
    solo.share('a', () => Promise.resolve('bob’s too'), { ...share, group: 'bob' }),
  ])
  const failed = { status: 'rejected', reason: { message: 'not for alice' } }
  const done = { status: 'fulfilled', value: { value: 'bob’s' } }
  expect(results).toMatchObject([failed, failed, done, done])
})

test('share() does the work again when its result is no good', async () => {
  const solo = new SoloCoordinator()
  let runs = 0
  const work = () => Promise.resolve(++runs)
  await solo.share('a', work, share)
  const isGood = (value: unknown) => value !== 1
  expect(await solo.share('a', work, { ...share, isGood })).toMatchObject({ value: 2 })
  expect(await solo.share('a', work, share)).toMatchObject({ value: 2 })
})
