import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/**
 * What a package offers by its declarations: the names that an entry exports, and the members of the classes and
 * interfaces in the modules that they come from.
 */
export async function declaredNames(entry: string): Promise<string[]> {
  const exported = await readFile(entry, 'utf8')
  const clauses = [...exported.matchAll(/^export (?:type )?\{([^}]*)\} from '([^']+)';/gm)]
  const names = clauses.flatMap(([, list]) => list!.split(',').map((item) => item.trim().replace(/^.* /, '')))
  const modules = await Promise.all(
    clauses
      .map(([, , module]) => module!)
      .filter((module) => module.startsWith('.'))
      .map((module) => readFile(join(dirname(entry), module.replace(/\.ts$/, '.d.ts')), 'utf8')),
  )
  return [...new Set([...names, ...modules.flatMap(membersIn)])].filter((name) => name !== '')
}

function membersIn(declarations: string): string[] {
  const types = [...declarations.matchAll(/^export (?:declare class|interface) [^\n]*\{\n(.*?)^\}/gms)]
  return types
    .flatMap(([, body]) => [...body!.matchAll(/^ {4}(?:static |readonly |get )*(\w+)\??[(<:]/gm)])
    .map(([, name]) => name!)
    .filter((name) => name !== 'constructor')
}
