import { describeArrayDriver } from './array-driver.ts'
import { startLinuxStorageBench } from './linux-storage-bench.ts'

describeArrayDriver('linux-storage on a real tgtd and XFS', startLinuxStorageBench)
describeArrayDriver('linux-storage on a real tgtd and btrfs', () =>
  startLinuxStorageBench(undefined, 'btrfs'),
)
