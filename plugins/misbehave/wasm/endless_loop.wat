(loop $forever (br $forever))
