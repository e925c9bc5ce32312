//! What the component owes the host. `host plugin test` runs the same checks on the built library.

use twinhost_plugin_api::{ComponentConfig, testkit};
use {{crate}}::{{Type}};

#[test]
fn conforms() {
    let settings = testkit::Settings::default().steps(100_000);
    let card = testkit::env("{{name}}", &settings, |services| {{Type}}::create(ComponentConfig::new(""), services));
    println!("{card}");
    card.assert_passed();
}
