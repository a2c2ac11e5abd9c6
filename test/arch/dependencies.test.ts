import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..', '..')

/** Which packages of ours each one may depend on: one way, see docs/architecture.md. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  'lock-client': ['@layerlock/protocol'],
  'lock-server': ['@layerlock/protocol'],
  'pull-proxy': ['@layerlock/client'],
  cli: ['@layerlock/proxy', '@layerlock/server'],
}

/** What users of the client test with: the only part of it that needs the server, which is an optional peer. */
const TESTING_KIT = '/lock-client/src/testing/'

/** Folders that only some others may import, by what they hold. */
const INSIDE: readonly { readonly folder: string; readonly mayImport: readonly string[] }[] = [
  { folder: 'lock-server/src/core', mayImport: ['core'] },
  { folder: 'lock-server/src/store', mayImport: ['core', 'store'] },
  { folder: 'pull-proxy/src/oci', mayImport: ['oci'] },
  { folder: 'pull-proxy/src/content', mayImport: ['oci', 'content'] },
]

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8')
  return [...text.matchAll(/(?:from|import\()\s*'([^']+)'/g)].map((match) => match[1]!)
}

function sourcesIn(folder: string): string[] {
  return globSync(join(ROOT, 'packages', folder, '**/*.ts')).filter(
    (file) => !/\.(test|testbed|conformance)\.ts$/.test(file) && !/\/(dist|node_modules)\//.test(file),
  )
}

describe('the packages', () => {
  for (const [name, allowed] of Object.entries(ALLOWED)) {
    test(`${name} depends on nothing of ours but ${allowed.join(' and ') || 'itself'}`, () => {
      const text = readFileSync(join(ROOT, 'packages', name, 'package.json'), 'utf8')
      const { dependencies = {} } = JSON.parse(text) as { dependencies?: Record<string, string> }
      const ours = Object.keys(dependencies).filter((dependency) => dependency.startsWith('@layerlock/'))
      expect(ours.filter((dependency) => !allowed.includes(dependency))).toEqual([])
      const sources = sourcesIn(`${name}/src`).filter((file) => !file.includes(TESTING_KIT))
      const imported = sources.flatMap(importsOf)
      const foreign = imported.filter((path) => path.startsWith('@layerlock/') && !allowed.includes(path))
      expect(foreign).toEqual([])
    })
  }

  test('the testing kit of the client needs the server as an optional peer, and nothing else imports the kit', () => {
    const text = readFileSync(join(ROOT, 'packages', 'lock-client', 'package.json'), 'utf8')
    const { peerDependencies, peerDependenciesMeta } = JSON.parse(text) as Record<string, Record<string, object>>
    expect(Object.keys(peerDependencies!)).toEqual(['@layerlock/server'])
    expect(peerDependenciesMeta).toEqual({ '@layerlock/server': { optional: true } })
    const kit = sourcesIn('lock-client/src/testing').flatMap(importsOf)
    const ours = new Set(kit.filter((path) => path.startsWith('@layerlock/')))
    expect([...ours].toSorted()).toEqual(['@layerlock/protocol', '@layerlock/server'])
    const others = sourcesIn('*/src').filter((file) => !file.includes(TESTING_KIT))
    const users = others.filter((file) =>
      importsOf(file).some((path) => /(^@layerlock\/client|\.)\/testing\b/.test(path)),
    )
    expect(users).toEqual([])
  })

  test('only the coordination folder of the proxy knows the lock client', () => {
    const others = sourcesIn('pull-proxy/src').filter((file) => !file.includes('/coordination/'))
    expect(others.filter((file) => importsOf(file).includes('@layerlock/client'))).toEqual([])
  })
})

describe('the folders', () => {
  for (const { folder, mayImport } of INSIDE) {
    test(`${folder} imports nothing but ${mayImport.join(' and ')} of its package`, () => {
      const outside = sourcesIn(folder).flatMap((file) =>
        importsOf(file).filter((path) => path.startsWith('../') && !mayImport.includes(path.split('/')[1]!)),
      )
      expect(outside).toEqual([])
    })
  }

  test('the state machine imports nothing that could do I/O', () => {
    const imported = new Set(sourcesIn('lock-server/src/core').flatMap(importsOf))
    expect([...imported].filter((path) => !path.startsWith('./'))).toEqual(['@layerlock/protocol'])
  })
})
