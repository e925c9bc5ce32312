;; A list of 2^30 scores, which is more than there is memory.
(i32.store (i32.const 392) (i32.const 0x40000000))
(return (i32.const 384))
