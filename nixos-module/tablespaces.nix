# Tablespaces in object stores: what their options are, and the statement that makes one.
{ lib }:

let
  inherit (lib) mkOption types;

  protocols = [
    "s3"
    "gcs"
    "azure"
  ];

  # Options of the store, with the protocols that have them, and whether there is no store without them.
  options = {
    bucket = {
      protocols = [
        "s3"
        "gcs"
      ];
      needed = true;
      description = "The bucket.";
    };
    container = {
      protocols = [ "azure" ];
      needed = true;
      description = "The container.";
    };
    account = {
      protocols = [ "azure" ];
      needed = true;
      description = "The storage account.";
    };
    prefix = {
      inherit protocols;
      description = "What the names of all objects begin with.";
    };
    endpoint = {
      protocols = [
        "s3"
        "azure"
      ];
      description = "URL of the service, if it is not the provider's own.";
    };
    base_url = {
      protocols = [ "gcs" ];
      description = "URL of the service, if it is not the provider's own.";
    };
    region = {
      protocols = [ "s3" ];
      description = "The bucket's region.";
    };
    credentials = {
      inherit protocols;
      description = "Name of an entry of `storage.credentialsFile`.";
    };
    allow_http = {
      protocols = [
        "s3"
        "azure"
      ];
      type = types.bool;
      description = "Whether `endpoint` may begin with `http://`.";
    };
    virtual_hosted_style_request = {
      protocols = [ "s3" ];
      type = types.bool;
      description = "Whether the bucket is part of the host's name.";
    };
    skip_signature = {
      protocols = [
        "s3"
        "gcs"
      ];
      type = types.bool;
      description = "Whether requests are anonymous.";
    };
    use_emulator = {
      protocols = [ "azure" ];
      type = types.bool;
      description = "Whether the endpoint is an emulator's.";
    };
    probe = {
      inherit protocols;
      type = types.bool;
      description = "Whether statements that name the store try it, which they do if it is not set.";
    };
  };

  isSet = tablespace: name: tablespace.${name} != null;
  names = lib.attrNames options;

  identifier = text: "\"${lib.replaceStrings [ "\"" ] [ "\"\"" ] text}\"";
  literal = text: "'${lib.replaceStrings [ "'" ] [ "''" ] text}'";
  value = value: literal (if lib.isBool value then lib.boolToString value else value);
in
{
  inherit identifier literal;

  type = types.submodule (
    { name, ... }:
    {
      options = {
        protocol = mkOption {
          type = types.enum protocols;
          description = "What the store speaks: S3's protocol, Google Cloud Storage's or Azure Blob Storage's.";
        };
        location = mkOption {
          type = types.path;
          default = "/var/lib/pg-lakebase/tablespaces/${name}";
          defaultText = lib.literalExpression ''"/var/lib/pg-lakebase/tablespaces/‹name›"'';
          description = ''
            Directory for what is local of the tablespace: temporary tables, and an empty file of each other table. It is
            made for the server's account.
          '';
        };
      }
      // lib.mapAttrs (
        _: option:
        mkOption {
          type = types.nullOr (option.type or types.str);
          default = null;
          description = "${option.description} Of ${lib.concatStringsSep ", " option.protocols}${
            lib.optionalString (option.needed or false) "; needed"
          }.";
        }
      ) options;
    }
  );

  # Options that the protocol needs and that are not set.
  missing =
    tablespace:
    lib.filter (
      name:
      (options.${name}.needed or false)
      && lib.elem tablespace.protocol options.${name}.protocols
      && !isSet tablespace name
    ) names;

  # Options that are set and that the protocol does not have.
  foreign =
    tablespace:
    lib.filter (
      name: isSet tablespace name && !lib.elem tablespace.protocol options.${name}.protocols
    ) names;

  statement =
    name: tablespace:
    let
      given = lib.filter (isSet tablespace) names;
      clause = option: "${option} = ${value tablespace.${option}}";
    in
    "CREATE TABLESPACE ${identifier name} LOCATION ${literal tablespace.location} WITH (${
      lib.concatStringsSep ", " ([ "protocol = ${literal tablespace.protocol}" ] ++ map clause given)
    })";
}
