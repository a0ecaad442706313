import { describeArrayDriver } from './array-driver.ts'
import { startEmbeddedBench } from './embedded-bench.ts'

describeArrayDriver('embedded, in a folder for temporary files, with our own initiator', startEmbeddedBench)
