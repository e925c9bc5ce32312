(global.set $bias (f32.const nan))
