(global.set $missing (i32.const 1))
