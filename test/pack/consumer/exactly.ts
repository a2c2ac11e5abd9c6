// Two generic functions are the same type only when A and B are: unlike `extends` both ways, that sees an `any`.
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- see above
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

/** Compiles only where `value` is exactly a `T`. */
export function isExactly<T>() {
  return <V>(_value: V, ..._same: Equal<V, T> extends true ? [] : ['expected another type']): void => undefined
}
