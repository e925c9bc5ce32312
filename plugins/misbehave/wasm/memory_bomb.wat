;; Takes memory until there is none left, then gives up.
(loop $more (br_if $more (i32.ne (memory.grow (i32.const 256)) (i32.const -1))))
(unreachable)
