(drop (call $endless_recursion (i32.const 0)))
