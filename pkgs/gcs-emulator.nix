# The emulator of Google Cloud Storage of the tests: fake-gcs-server with the XML API before it, which it lacks.
{
  buildGoModule,
  source,
}:

buildGoModule {
  pname = "gcs-emulator";
  inherit (source) version;
  src = source.gcsEmulator;
  vendorHash = "sha256-Ub7v8axamNQsEcqvaiO3M5N/kmxQpIfrVtI7yHAMeHg=";
  # The program has the module's last name.
  postInstall = ''
    mv $out/bin/gcs $out/bin/gcs-emulator
  '';
  meta = source.meta // {
    description = "Emulator of Google Cloud Storage for tests";
    mainProgram = "gcs-emulator";
  };
}
