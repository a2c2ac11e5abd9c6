import { mkdir, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runCommand, temporaryFolder, type TemporaryFolder } from '@layerlock/test-support'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { failureOf } from '../../failure-of.testbed.ts'
import { createCredentialSource } from './create-credential-source.ts'

const { signal } = new AbortController()
let folder: TemporaryFolder

beforeAll(async () => {
  folder = await temporaryFolder('credentials')
})

afterAll(async () => {
  await folder[Symbol.asyncDispose]()
})

async function fileWith(text: string, name = 'secret'): Promise<string> {
  const path = join(folder.path, name)
  await writeFile(path, text)
  return path
}

const passwordFrom = (path: string) =>
  createCredentialSource({ kind: 'passwordFile', username: 'ann', path }, 'ghcr.io', 'ghcr.io').get({ signal })

test('a password that is configured is given as it is', async () => {
  const source = createCredentialSource(
    { kind: 'password', username: 'ann', password: ' p:w \n' },
    'ghcr.io',
    'ghcr.io',
  )
  expect(await source.get({ signal })).toEqual({ kind: 'basic', username: 'ann', password: ' p:w \n' })
})

test.each([
  ['s3cret', 's3cret'],
  ['s3cret\n', 's3cret'],
  ['s3cret\r\n', 's3cret'],
  [' s3cret \n\n', ' s3cret \n'],
])('a password file with %j holds %j', async (text, password) => {
  expect(await passwordFrom(await fileWith(text))).toEqual({ kind: 'basic', username: 'ann', password })
})

test('a token file holds an identity token', async () => {
  const path = await fileWith('id3ntity\n')
  const source = createCredentialSource({ kind: 'tokenFile', path }, 'ghcr.io', 'ghcr.io')
  expect(await source.get({ signal })).toEqual({ kind: 'identityToken', token: 'id3ntity' })
})

test('a file that is replaced is noticed, also where it is a link, as Kubernetes mounts secrets', async () => {
  await mkdir(join(folder.path, 'v1'))
  await mkdir(join(folder.path, 'v2'))
  await fileWith('one', 'v1/password')
  await fileWith('two', 'v2/password')
  await symlink('v1', join(folder.path, 'data'))
  const source = createCredentialSource(
    { kind: 'passwordFile', username: 'ann', path: join(folder.path, 'data/password') },
    'ghcr.io',
    'ghcr.io',
  )
  expect(await source.get({ signal })).toMatchObject({ password: 'one' })
  await symlink('v2', join(folder.path, 'next'))
  await rename(join(folder.path, 'next'), join(folder.path, 'data'))
  expect(await source.get({ signal })).toMatchObject({ password: 'two' })
})

test('a file that is not there is named', async () => {
  const path = join(folder.path, 'missing')
  expect(await failureOf(passwordFrom(path))).toMatchObject({
    code: 'UNKNOWN',
    message: `${path} cannot be read: ENOENT`,
  })
})

test('an empty file is no password', async () => {
  const path = await fileWith('\n', 'empty')
  await expect(passwordFrom(path)).rejects.toMatchObject({ code: 'UNKNOWN', message: expect.stringContaining(path) })
})

test('a file that is too large is not read, and nothing of it is shown', async () => {
  const path = await fileWith('s3cret'.repeat(20_000), 'large')
  const failure = await failureOf(passwordFrom(path))
  expect(failure).toMatchObject({ code: 'UNKNOWN', message: `${path} has more than 65536 bytes` })
})

test('a named pipe that nobody writes to is no file', async () => {
  const path = join(folder.path, 'pipe')
  await runCommand('mkfifo', [path])
  await expect(passwordFrom(path)).rejects.toMatchObject({ code: 'UNKNOWN', message: `${path} is no file` })
})

test('a folder is no file', async () => {
  await expect(passwordFrom(folder.path)).rejects.toMatchObject({ code: 'UNKNOWN' })
})
