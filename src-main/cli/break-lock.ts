export const breakLockText =
  'start the VM although another has the lock of its unit; must be confirmed (containers of disks)'
export const breakLockQuestion = 'Is it certain that no host runs the VM, and shall the lock be broken?'
