//! What the component owes the host. `host plugin test` runs the same checks on the built library.

use twinhost_plugin_api::{ComponentConfig, testkit};
use {{crate}}::{{Type}};

/// Lets the examination see that a command allocates nothing.
#[global_allocator]
static ALLOCATOR: testkit::CountingAllocator = testkit::CountingAllocator;

#[test]
fn conforms() {
    let settings = testkit::Settings::default().steps(100_000);
    let card = testkit::robot("{{name}}", &settings, |services| {{Type}}::create(ComponentConfig::new(""), services));
    println!("{card}");
    card.assert_passed();
}
