//! What the component owes the host. `host plugin test` runs the same checks on the built library.

use twinhost_plugin_api::{ComponentConfig, DType, FeatureSpec, names, testkit};
use {{crate}}::{{Type}};

#[test]
fn conforms() {
    let settings = testkit::Settings::default().steps(100_000).feature(FeatureSpec::new(names::STATE, DType::F32, &[4]));
    let card = testkit::policy("{{name}}", &settings, |services| {{Type}}::create(ComponentConfig::new(""), services));
    println!("{card}");
    card.assert_passed();
}
