import { describeLockStore } from './lock-store.conformance.ts'
import { MemoryLockStore } from './memory-lock-store.ts'

describeLockStore('MemoryLockStore', {
  open: () => Promise.resolve(new MemoryLockStore()),
  // Its process is its medium: as long as that lives, what was in it is there.
  reopen: (store) => Promise.resolve(store),
})
