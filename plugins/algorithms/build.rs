//! Lets the tests find libtorch. The plugin itself carries no path: the host opens the libtorch it chose before it loads the plugin.

fn main() {
    println!("cargo::rerun-if-env-changed=LIBTORCH");
    if let Some(root) = std::env::var_os("LIBTORCH") {
        println!("cargo::rustc-link-arg-tests=-Wl,-rpath,{}/lib", root.display());
    }
}
