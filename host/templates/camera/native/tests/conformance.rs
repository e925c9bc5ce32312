//! What the component owes the host. `host plugin test` runs the same checks on the built library.

use twinhost_plugin_api::{ComponentConfig, testkit};
use {{crate}}::{{Type}};

#[test]
fn conforms() {
    let settings = testkit::Settings::default().steps(2_000);
    let card = testkit::camera("{{name}}", &settings, |services| {{Type}}::create(ComponentConfig::new("(fps: 1000)"), services));
    println!("{card}");
    card.assert_passed();
}
